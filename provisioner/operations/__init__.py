"""What a command does when it needs several parts, such as applying and then looking.

No adapters here: operations combine engine, embedded platform, data store and plan.
"""
