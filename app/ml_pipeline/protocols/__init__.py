"""What a client asks for, by protocol: how it is read, how its answer is written."""
