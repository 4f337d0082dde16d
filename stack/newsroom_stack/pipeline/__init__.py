"""What goes through a running stack: reading it, and the verbs that the demo, the tests and the lab share."""
