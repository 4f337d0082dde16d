"""The room where a learner repairs what was broken on purpose."""
