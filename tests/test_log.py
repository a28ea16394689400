"""The first record prepares logging, once, and records reach the logger that they name."""

import subprocess
import sys


def test_logging_is_prepared_by_the_first_record_and_not_before() -> None:
    code = (
        "import sys\n"
        "from layerstore import log\n"
        "def prepare():\n"
        "    import logging\n"
        "    print('prepared')\n"
        "    logging.basicConfig(stream=sys.stdout, format='%(levelname)s %(name)s: %(message)s')\n"
        "log.before_first(prepare)\n"
        "print('logging' in sys.modules)\n"
        "log.warning('one', 'first %s')\n"
        "log.info('two', 'not asked for')\n"
        "log.warning('three', 'second')\n"
    )
    ended = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [
        "False", "prepared", "WARNING one: first %s", "WARNING three: second"
    ]  # fmt: skip
