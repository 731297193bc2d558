"""Several hospitals train one generator together; Flower carries the messages and averages the weights."""
