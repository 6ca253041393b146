"""Python runs this when a test's server starts.

The server's event loop stops for a minute when the garbage collector finds a cursor whose connection waits for
SQLite's write lock in another thread: both wait until that lock's timeout. Ten clients that write at the same time
bring this about within seconds. The tests are about our program, and a server lives for minutes: it can do without.
"""

import gc

gc.disable()
