"""What a collection holds, in numbers: counted in one pass over the passages, and set into a report."""
