"""Video files to single pictures: what a file is, which moments stand for it, and their pixels. Knows no model and no
JPEG; the only room with PyAV (extra `video`), which is loaded when the first video is opened.
"""

from pipeline.videos.containers import container_of
from pipeline.videos.moments import Choice, label
from pipeline.videos.opening import check_installed, open_video
from pipeline.videos.video import Frame, Video

__all__ = ["Choice", "Frame", "Video", "check_installed", "container_of", "label", "open_video"]
