"""Examples that run: the pilot estate, the demo that brings it to life, and the demo that moves its data store.

demo.py and demo_migration.py are the demos; pilot_estate.py is what they share. The rest belongs to the move: the
application that writes (writing_client.py alone is imported by benchmarks and tests, too), where it runs
(application.py), both sides (moved_store.py), what is promised (move_checks.py) and what the journal says of it.
"""
