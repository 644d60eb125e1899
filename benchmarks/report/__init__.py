"""One report of everything that was measured, written into a directory: raw runs, tables, plots, a page to read.

python -m benchmarks.report            # measures what the directory of today does not have yet, then writes all
python -m benchmarks.report --render   # measures nothing; writes all again from the runs that are there
"""
