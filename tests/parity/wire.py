"""The cases of README.md as messages of the interface: what a client would send."""

import io
import pathlib
import sys
import types

import grpc_tools
import grpc_tools.protoc
import numpy
from PIL import Image

# Keys of a request that are fields of the same name and type.
SAME = ("width", "height", "steps", "guidance_scale", "prior_steps", "prior_guidance_scale", "seeds")
SAME_OF_PRIOR = ("prior_steps", "prior_guidance_scale", "seeds")
TEXTS = ("prompt", "negative_prompt", "negative_prior_prompt")


def load_interface(proto: pathlib.Path, output: str) -> types.SimpleNamespace:
    """Compiles the project's interface for Python: modules `image`, `image_stubs`, `embedding`, `embedding_stubs`."""
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = [str(path.relative_to(proto)) for path in sorted(proto.rglob("*.proto"))]
    code = grpc_tools.protoc.main(["protoc", f"-I{proto}", f"-I{well_known}", f"--python_out={output}",
                                   f"--grpc_python_out={output}", *files])
    if code != 0 or not files:
        raise SystemExit(f"no interface could be generated from {proto}")
    sys.path.insert(0, output)
    from kandinsky.v1 import embedding_pb2, embedding_pb2_grpc, image_generation_pb2, image_generation_pb2_grpc
    return types.SimpleNamespace(image=image_generation_pb2, image_stubs=image_generation_pb2_grpc,
                                 embedding=embedding_pb2, embedding_stubs=embedding_pb2_grpc)


def to_array(tensor) -> numpy.ndarray:
    """Of a FloatTensor."""
    return numpy.frombuffer(tensor.data, "<f4").reshape(tensor.shape)


def to_picture(data: bytes) -> numpy.ndarray:
    return numpy.asarray(Image.open(io.BytesIO(data)))


class Messages:
    """Builds the messages of cases; `tensors` holds their inputs."""

    def __init__(self, interface: types.SimpleNamespace, tensors: dict[str, numpy.ndarray]) -> None:
        self._image = interface.image
        self._embedding = interface.embedding
        self._tensors = tensors

    # ---- inputs ----

    def _input(self, name: str) -> numpy.ndarray:
        return self._tensors[f"inputs.{name}"]

    def _png(self, name: str) -> bytes:
        """The picture that a client has, before it is resized."""
        data = io.BytesIO()
        Image.fromarray(self._tensors.get(f"sources.{name}", self._tensors.get(f"inputs.{name}"))).save(data, "PNG")
        return data.getvalue()

    def _floats(self, name: str):
        values = self._input(name)
        return self._image.FloatTensor(shape=values.shape, data=values.astype("<f4").tobytes())

    def _values(self, name: str):
        return self._image.Embedding(values=self._input(name).tolist())

    # ---- ImageGenerationService ----

    def generate(self, case: dict, output_format: str):
        request = case["request"]
        message = self._image.GenerateRequest(**{key: request[key] for key in SAME}, **self._prior_fields(request))
        if request["sampler"] != "default":
            message.sampler = getattr(self._image, "SAMPLER_" + request["sampler"].upper())
        if request.get("eta"):
            message.eta = request["eta"]
        for key in ("image_embedding", "negative_image_embedding"):
            if request.get(key):
                getattr(message, key).CopyFrom(self._values(request[key]))
        if "task" in request:
            kind = request["task"]["kind"]
            getattr(message, kind).CopyFrom(getattr(self, f"_{kind}")(request["task"]))
        message.output.format = getattr(self._image, output_format)
        return message

    def _prior_fields(self, request: dict) -> dict:
        fields = {key: request[key] for key in TEXTS if request.get(key) is not None}
        start = request.get("prior_start")
        if start:
            source = {"image": self._png(start["image"])} if "image" in start else {
                "embedding": self._values(start["embedding"])}
            fields["prior_start"] = self._image.PriorStart(**source, strength=start["strength"])
        if request.get("mix"):
            fields["mix"] = self._mix(request["mix"])
        return fields

    def _mix(self, parts: list[dict]):
        message = self._image.Mix()
        for part in parts:
            if "text" in part:
                content = {"text": part["text"]}
            elif "image" in part:
                content = {"image": self._png(part["image"])}
            else:
                content = {"embedding": self._values(part["embedding"])}
            message.parts.add(**content, weight=part["weight"])
        return message

    def _text_to_image(self, task: dict):
        return self._image.TextToImage()

    def _image_to_image(self, task: dict):
        return self._image.ImageToImage(image=self._png(task["image"]), strength=task["strength"])

    def _inpaint(self, task: dict):
        mode = "MASK_MODE_SOFT" if task["soft"] else "MASK_MODE_BINARY"
        return self._image.Inpaint(image=self._png(task["image"]), mask=self._png(task["mask"]),
                                   mask_mode=getattr(self._image, mode))

    def _control_net(self, task: dict):
        message = self._image.ControlNet()
        if f"sources.{task['hint']}" in self._tensors:
            message.depth_image = self._png(task["hint"])
        else:
            message.depth.CopyFrom(self._floats(task["hint"]))
        if task["image"] is not None:
            message.image = self._png(task["image"])
            message.strength = task["strength"]
        return message

    # ---- EmbeddingService ----

    def embed_text(self, cases: list[dict]):
        return self._embedding.EmbedTextRequest(texts=[case["request"]["prompt"] for case in cases],
                                                include_hidden_states=True)

    def embed_images(self, cases: list[dict]):
        return self._embedding.EmbedImagesRequest(
            images=[self._png(case["request"]["task"]["image"]) for case in cases])

    def embed_prompt(self, case: dict):
        request = case["request"]
        return self._embedding.GenerateImageEmbeddingRequest(**{key: request[key] for key in SAME_OF_PRIOR},
                                                             **self._prior_fields(request))

    def encode_latents(self, case: dict):
        request = case["request"]
        if "pixels" in request["task"]:
            return self._embedding.EncodeLatentsRequest(pixels=self._floats(request["task"]["pixels"]))
        return self._embedding.EncodeLatentsRequest(image=self._png(request["task"]["image"]), width=request["width"],
                                                    height=request["height"])

    def decode_latents(self, case: dict, float_pixels: bool):
        message = self._embedding.DecodeLatentsRequest(latents=self._floats(case["request"]["task"]["latents"]))
        if float_pixels:
            message.float_pixels = True
        else:
            message.output.format = self._image.OUTPUT_FORMAT_PNG
        return message
