"""What ``varkit plugin new`` starts from: for each kind the smallest component that works.

These are ordinary modules, checked like all others; ``my_part`` and ``MyPart`` stand for the name.
"""
