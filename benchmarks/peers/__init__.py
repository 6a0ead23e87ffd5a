"""segflow beside what one would pick instead: `make bench-peers`, or `python -m benchmarks.peers --help`.

Every peer does the job of job.py over the same topic, and what it publishes is compared with that job's own naive
answer before its time counts.
"""
