"""Attacks a tenant's isolation for real, and reports every attempt with who or what stood in its way.

Pure planners make attempts from the plan, the neighbours, and what the tenant is promised whatever is planned; runners,
one for each kind of attacker, make them and give verdicts. What works must work first: an attempt whose control failed
proves nothing. No attempt leaves anything behind, whether it is blocked, gets through or is cut off. What is done about
a hole belongs to plan and datastore.
"""
