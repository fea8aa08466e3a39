"""The fast path: the activations of acting are the forward pass of learning."""
