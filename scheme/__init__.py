"""What every party of the network agrees on: money, ids, codes, messages, rules as data.

Pure: nothing here opens a socket or a file, reads a clock or draws a random number.
"""
