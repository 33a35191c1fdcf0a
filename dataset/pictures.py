"""Opening a picture the way a person sees it: upright, opaque, in sRGB.

What can't be opened is told as a reason and a fix, because the file is the person's and only they can mend it.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

MAX_PIXELS = 40_000_000  # 40 megapixels: above any camera in common use, below what hurts (120 MB decoded)

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
FOREIGN = frozenset({".heic", ".heif", ".jxl", ".psd", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"})
"""Pictures to a person, but not to us: they are reported rather than passed over."""

# The content decides, not the extension; naming the formats keeps Pillow from handing a renamed file to Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF")

# Pillow's decoders raise far more than OSError on damaged bytes.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, RuntimeError,
          struct.error, zlib.error)

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Our own limit is stricter, and what is wrong is told to the person; Pillow's warnings would only go to the terminal.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class PictureError(ValueError):
    """A picture that can't be used: `reason` (what is wrong) and `fix` (what to do)."""

    def __init__(self, reason: str, fix: str):
        super().__init__(f"{reason}; {fix}")
        self.reason, self.fix = reason, fix


@dataclass(frozen=True)
class Header:
    """What a file says about itself before any pixel is decoded; width and height are those of the upright picture."""

    width: int
    height: int
    animated: bool
    format: str = ""  # what the content is, whatever the name says: "JPEG", "PNG", …


def header(path: Path) -> Header:
    """Size and kind without decoding; raises PictureError."""
    with _opened(path) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return Header(width, height, _animated(image), _format(image))


def size_of(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture, without decoding it; raises PictureError."""
    found = header(path)
    return found.width, found.height


@dataclass(frozen=True)
class Decoded:
    """A picture as `read` gives it, with what its file was like."""

    image: Image.Image
    size: tuple[int, int]  # (width, height) of the upright picture, also where it was decoded smaller
    format: str  # what the content is, whatever the name says: "JPEG", "PNG", …
    turned: bool  # its EXIF orientation asked for turning, which was done
    animated: bool
    transparent: bool  # some of its pixels let the white through


def read(path: Path) -> Image.Image:
    """The picture as upright RGB, 8 bit: first frame, alpha laid on white, 16 bit and float scaled to 8, CMYK and wide
    gamuts brought to sRGB by their embedded profile. Raises PictureError."""
    return decoded(path).image


def decoded(path: Path, least: int = 0) -> Decoded:
    """The picture as from `read`, and what its file was like, from one decode. Raises PictureError.

    With `least` a JPEG may come out smaller, by 2, 4 or 8, its longer side no shorter than that many pixels. All of the
    file is read even so, and damage found; only most of the arithmetic is spared."""
    with _opened(path) as image:
        orientation = _orientation(image)
        turn, size = UPRIGHT.get(orientation), image.size[:: -1 if orientation >= 5 else 1]
        animated = _animated(image)
        if least:
            longest = max(size)
            image.draft(None, tuple(max(1, side * least // longest) for side in image.size))
        image.load()
        rgb = _rgb(image)
        upright = rgb.transpose(turn) if turn is not None else rgb
        return Decoded(upright, size, _format(image), turn is not None, animated, _transparent(image))


def transparency(path: Path) -> Image.Image | None:
    """The alpha channel of the upright picture, grey, 0 where nothing is seen; None where nothing is transparent.
    Raises PictureError."""
    with _opened(path) as image:
        turn = UPRIGHT.get(_orientation(image))
        image.load()
        if not _transparent(image):
            return None
        alpha = image.convert("RGBA").getchannel("A")
        return alpha.transpose(turn) if turn is not None else alpha


def looks_whole(path: Path) -> bool:
    """False where the end mark of the format is missing. Costs two short reads; a False wants a decode to be sure,
    because some programs write more behind the end mark."""
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 64))
        tail = file.read()
    if head.startswith(b"\xff\xd8"):
        return tail.rstrip(b"\0\r\n ").endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG"):
        return b"IEND" in tail
    if head.startswith(b"GIF8"):
        return tail.rstrip(b"\0").endswith(b";")
    if head.startswith(b"RIFF"):
        return int.from_bytes(head[4:8], "little") + 8 <= size
    if head.startswith(b"BM"):
        return int.from_bytes(head[2:6], "little") <= size
    return True


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file opened but not decoded; every failure in the block becomes a PictureError."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise PictureError("this is not a file", "remove it from the folder")
        if facts.st_size == 0:
            raise PictureError("the file is empty (0 bytes)", "copy it again from where it came, or delete it")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(f"{width} x {height} is {width * height / 1e6:.0f} megapixels")
            if width * height == 0:
                raise PictureError("the picture has no pixels", "delete it")
            yield image
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise _too_large("the picture has more than 178 megapixels") from None
    except UnidentifiedImageError:
        raise PictureError("the content is not a picture that can be read, whatever its name says",
                           "save it as JPEG, PNG or WebP, or delete it") from None
    except FileNotFoundError:
        raise PictureError("the file is not there", "scan the folder again") from None
    except PermissionError:
        raise PictureError("the file may not be read", "change its permissions") from None
    except MemoryError:
        raise PictureError("there is not enough memory to open it", "make it smaller") from None
    except BROKEN as error:
        raise PictureError(_damage(error), "copy it again from where it came, or delete it") from error


def _damage(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return f"the file can't be read ({error.strerror})"
    return "the file is cut off" if "truncated" in str(error) else f"the file is damaged ({error})"


def _too_large(what: str) -> PictureError:
    return PictureError(f"{what}; at most {MAX_PIXELS // 1_000_000} are read", "scale the picture down")


def _format(image: Image.Image) -> str:
    return {"MPO": "JPEG", "DIB": "BMP"}.get(image.format or "", image.format or "")


def _animated(image: Image.Image) -> bool:
    # MPO is a JPEG with a second view or a gain map behind it (phones), not an animation.
    return image.format != "MPO" and getattr(image, "is_animated", False)


def _transparent(image: Image.Image) -> bool:
    """Whether any pixel of a loaded picture is; many programs write an alpha channel that hides nothing."""
    return image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8. Asked before the pixels are loaded, so that size_of and read agree."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFFs itself, sizes included
    try:
        # The base class's method: PNG's own decodes the whole picture in search of a late EXIF chunk.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except BROKEN:
        return 1  # a damaged EXIF block says nothing, and takes nothing from the pixels
    return value if value in UPRIGHT else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(np.asarray(image, dtype=np.float64), image.mode).convert("RGB")
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        return _to_srgb(image, profile)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return _to_srgb(image if image.mode == "RGB" else image.convert("RGB"), profile)


def _eight_bits(values: np.ndarray, mode: str) -> Image.Image:
    """Grey values of a deeper format as 8 bit. The range is the format's where it has one (I;16), else the smallest
    usual one that holds the values (1, 255, 65535), else from darkest to lightest."""
    values = np.nan_to_num(values)
    low, high = float(values.min()), float(values.max())
    ranges = (65535.0,) if mode.startswith("I;16") else (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
    if low >= 0 and high <= ranges[-1]:
        low, high = 0.0, next(top for top in ranges if high <= top)
    scaled = (values - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB or CMYK picture in the colours that a model expects; a profile that can't be used is left aside."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            name = source.profile.profile_description or ""
            if source.profile.xcolor_space.strip() == image.mode and "sRGB" not in name:
                return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # as if there were no profile, which is what other programs show
    return image if image.mode == "RGB" else image.convert("RGB")
