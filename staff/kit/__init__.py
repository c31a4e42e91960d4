"""What course staff hand out and grade with: the starter, the autograder and the report."""
