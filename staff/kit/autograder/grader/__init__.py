"""Grades one submission the way Gradescope asks for it.

Three kinds of process share the work, so that none has to trust the student's code:

* the grader (`__main__`) knows the expected values, judges, and writes results.json; it never runs student code;
* the supervisor imports torch once and forks a worker for every test, watches over its limits and ends it;
* the worker runs the student's functions and sends back what they return, never a verdict.

For a class, `serve` imports torch once for all gradings, and forks the grader and the supervisor of each.
"""
