"""The lab: each question of the course is an experiment that measures and checks its own answer."""
