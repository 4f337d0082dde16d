"""Write: tasks for a learner's own program, and the harness that says which promises the program kept."""
