"""Follow the run that began last, begin it again where it dies, evaluate it when it has finished: `runs watch` under another name.

python scripts/realtime_monitor.py [RUN] [--restart N] [--then COMMAND]
"""

import sys

from sparse_ko_cli.sparse import app

if __name__ == "__main__":
    app(["runs", "watch", *sys.argv[1:]], prog_name="realtime_monitor.py")
