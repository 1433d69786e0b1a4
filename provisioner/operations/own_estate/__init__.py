"""The estate that a cooperative takes with it to a cluster of its own: what is in the folder, and the taking over.

`deciding` is pure: what platform.yaml says. `contents` reads the platform's estate: what goes into the folder, `folder`
writes it, `handing` does all of it in its order.
"""
