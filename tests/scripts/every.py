"""Run several scripts in one process and write what each printed: torch and pappus are imported once.

    python tests/scripts/every.py OUT.json script.py:arg:arg ...           # with torch
    python -m pappus.torch tests/scripts/every.py OUT.json script.py ...   # with pappus
"""

import contextlib
import io
import json
import runpy
import sys
import traceback

results = {}
out, *commands = sys.argv[1:]
for command in commands:
    script, *arguments = command.split("\t")
    sys.argv = [script, *arguments]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(script, run_name="__main__")
        error = ""
    except Exception:
        error = traceback.format_exc()
    results[command] = {
        "printed": printed.getvalue(),
        "error": error,
        "torch": sys.modules["torch"].__version__ if "torch" in sys.modules else "",
    }
with open(out, "w") as file:
    json.dump(results, file)
