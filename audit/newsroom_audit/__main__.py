"""Entry point of newsroom-audit."""

from __future__ import annotations

from newsroom_audit.cli import main

if __name__ == "__main__":
    main()
