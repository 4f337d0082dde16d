"""One module for each experiment. It reads like a lesson: the steps, then the question, the prediction and why."""
