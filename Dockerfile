# On processors:   docker build -t dcgan-tf .
# On NVIDIA GPUs:  docker build -t dcgan-tf --build-arg TAG=2.21.0-gpu .
ARG TAG=2.21.0
FROM tensorflow/tensorflow:${TAG}

WORKDIR /dcgan
COPY . .
RUN python3 -m pip install --no-cache-dir -r requirements.txt

# docker run -v "$PWD/runs:/dcgan/runs" dcgan-tf, with other flags behind it
ENTRYPOINT ["python3", "train.py"]
CMD ["--dataset", "mnist", "--epochs", "50"]
