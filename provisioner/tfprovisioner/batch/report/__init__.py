"""The report on runs: what they recorded, compared, as JSON, HTML, JUnit's XML and text.

Python 3.10 and newer, NumPy, with the extra ``batch``. ``cli`` and ``batch`` import it. ``assemble`` makes the one
``model``, the content of ``report.json``; everything else shows it.
"""

from tfprovisioner.batch.report.assemble import UnknownBaseline, make
from tfprovisioner.batch.report.documents import NotOurs, earlier_order, write
from tfprovisioner.batch.report.model import Report
from tfprovisioner.batch.report.text import text

__all__ = ["NotOurs", "Report", "UnknownBaseline", "earlier_order", "make", "text", "write"]
