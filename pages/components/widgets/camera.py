"""The camera, with a guide frame; or why the browser gives none."""

from typing import Literal
from urllib.parse import urlsplit

import streamlit as st

GUIDE_FRAME = """
[data-testid=stCameraInput] > div { position: relative; }
[data-testid=stCameraInput] > div:has(video)::after { content: ""; position: absolute; left: 50%; top: calc(50% - 20px);
  height: 55%; aspect-ratio: 1; transform: translate(-50%, -50%); border: 2px dashed rgba(255, 255, 255, .8);
  border-radius: 8px; pointer-events: none; }
"""


def photograph(label: str, label_visibility: Literal["visible", "collapsed"] = "visible") -> bytes | None:
    """The picture that was taken, as a file; None before that, and where browsers give no camera."""
    address = urlsplit(st.context.url or "")
    if address.scheme == "http" and address.hostname not in ("localhost", "127.0.0.1", "::1"):
        st.warning(
            "Browsers give a camera to pages from https or from this machine only. Whoever runs the app can start it "
            "with a certificate: --server.sslCertFile and --server.sslKeyFile. *Upload* works here, too: phones then "
            "offer their camera.",
            icon=":material/no_photography:",
        )
        return None
    st.html(f"<style>{GUIDE_FRAME}</style>")
    file = st.camera_input(label, label_visibility=label_visibility, key="camera")
    return file.getvalue() if file else None
