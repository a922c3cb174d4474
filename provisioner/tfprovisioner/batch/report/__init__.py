"""The report on runs: what they recorded, compared, as JSON, HTML, JUnit's XML and text.

Python 3.10 and newer, NumPy, with the extra ``batch``. ``cli`` and ``batch`` import it. ``model`` is the content of
``report.json``; everything else shows it.
"""

from tfprovisioner.batch.report.cases import UnknownBaseline
from tfprovisioner.batch.report.files import NotOurs, write
from tfprovisioner.batch.report.model import Report, make
from tfprovisioner.batch.report.text import text

__all__ = ["NotOurs", "Report", "UnknownBaseline", "make", "text", "write"]
