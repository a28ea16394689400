"""What the commands do that click need not be there for (`lstore.cli.light`): one module each.

On the path that starts a container: nothing heavy is imported here.
"""
