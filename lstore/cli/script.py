#!python
"""Installed as ``lstore``. The script that pip would write imports ``re``: a sixth of what ``lstore ps`` takes."""

from lstore.__main__ import main

main()
