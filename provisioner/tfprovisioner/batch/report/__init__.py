"""From what runs recorded to verdicts and documents.

``cases`` says which runs belong together, ``verdicts`` compares what they recorded, ``findings`` is all of it with the
exit code; ``text``, ``document`` (JSON), ``junit`` and ``page`` (HTML) show it, ``writing`` writes the files.
"""

from tfprovisioner.batch.report.cases import UnknownBaseline
from tfprovisioner.batch.report.files import NotOurs, write
from tfprovisioner.batch.report.json import document
from tfprovisioner.batch.report.model import Report, make
from tfprovisioner.batch.report.text import text

__all__ = ["NotOurs", "Report", "UnknownBaseline", "document", "make", "text", "write"]
