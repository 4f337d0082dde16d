"""The pipeline of a running stack: an observer of its topics, and the story of the demo."""
