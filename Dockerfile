# The app on a CPU: docker build -t robust . && docker run -p 8501:8501 robust
FROM python:3.12-slim

# OpenCV without a display, and the health check, need nothing more than the slim image has.
RUN useradd --create-home --uid 1000 robust
WORKDIR /app
COPY requirements.txt .
# torch from PyTorch's own index: the one on PyPI brings several GB of CUDA. Headers, tests, source maps and the bytecode of what
# is never imported would be a quarter of the image.
RUN pip install --no-cache-dir --no-compile torch==2.14.1 torchvision==0.29.1 --index-url https://download.pytorch.org/whl/cpu \
 && pip install --no-cache-dir --no-compile -r requirements.txt "psycopg[binary]==3.3.9" \
 && cd "$(python -c 'import torch; print(torch.__path__[0])')/.." \
 && rm -rf torch/include torch/share torch/test torch/bin/test_* torch/bin/protoc* pydeck/nbextension \
 && find . \( -type d -name tests -o -name "*.map" \) -prune -exec rm -r {} +
COPY app.py LICENSE README.md ./
COPY .streamlit .streamlit
COPY pages pages
COPY robust robust
COPY weights weights
# The first screen, once: it works, and what it imports is compiled.
RUN python -m compileall -q app.py pages robust \
 && python -c "import psycopg, sqlalchemy, streamlit.web.bootstrap, uvicorn; from streamlit.testing.v1 import AppTest; \
assert not AppTest.from_file('app.py', default_timeout=600).run().exception"

RUN mkdir /data && chown robust /data
USER robust
# Nothing is written but rooms: into /data where no ROBUST_DATABASE is given. The rest may be read-only.
ENV ROBUST_HOSTED=1 XDG_DATA_HOME=/data PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true"]
