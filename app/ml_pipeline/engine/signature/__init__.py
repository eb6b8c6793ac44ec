"""What goes into a model and comes out of it: tensors, their types, and what they mean."""
