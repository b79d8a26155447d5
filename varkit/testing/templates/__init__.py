"""The templates of ``varkit plugin new``: the smallest working component of each kind.

They are ordinary, tested modules; ``my_part`` and ``MyPart`` are replaced by the new name.
"""
