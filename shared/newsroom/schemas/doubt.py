"""How many records in a row show that not they are to blame for a schema that cannot be used: docs/decisions/0010."""

ROW = 10
"""So many records in a row with one unusable schema are not a minority."""

FIRST_ROW = 2
"""The same before any record of the topic could be read."""
