"""The section image_dataset: which images are decoded, what is done to them, which are copies."""

from typing import Literal

from pydantic import Field, field_validator

from llm_assets.core.recipe.base import Section, execution


class ImageDatasetConfig(Section):
    """Images: decode within limits, orient, crop, rotate, without copies."""

    honour_optouts: list[Literal["robots_ai", "noai", "tdm", "ai_txt"]] = Field(
        ["robots_ai", "noai", "tdm", "ai_txt"], description="Signals that keep an image out"
    )
    against: list[str] = Field(
        ["*"], description="Patterns of the older crawls whose images are looked for copies in; an empty list: only this crawl"
    )
    formats: list[Literal["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"]] = Field(
        ["PNG", "JPEG", "GIF", "WEBP", "BMP"],
        min_length=1,
        description="What is decoded, told by the first bytes and never by the name. Nothing else reaches a decoder: no SVG, "
        "no PDF, and no EPS, for which Pillow would start another program",
    )
    max_bytes: int = Field(20_000_000, ge=1, description="Larger files are dropped unread")
    max_pixels: int = Field(
        50_000_000, ge=1, le=80_000_000, description="Larger images are dropped before a pixel is decoded; 4 bytes a pixel"
    )
    max_frames: int = Field(1_000, ge=1, description="Animations of more frames are dropped; of the others the first counts")
    max_cpu_seconds: float = Field(10.0, gt=0, description="Processor time of one image; a photograph takes a hundredth of it")
    max_memory_mb: int = Field(4_096, ge=1_024, description="Address space of a process that decodes, MiB")
    min_side_pixels: int = Field(32, ge=1, description="The shorter side after cropping; below it are icons and counters")
    max_aspect: float = Field(8.0, ge=1, description="Longer side by shorter side; above it are rules and banners")
    min_contrast: int = Field(
        8, ge=0, le=255, description="Darkest to lightest pixel of some channel; below it is an image of one colour"
    )
    max_side_pixels: int = Field(1024, ge=32, description="Larger images are scaled down to this longer side")
    transparency: Literal["white", "keep"] = Field("white", description="Transparent parts: laid on white, or kept (RGBA)")
    convert_profiles: bool = Field(True, description="Colours of an embedded ICC profile become sRGB")
    crop_borders: bool = Field(True, description="Cut off uniform borders")
    border_tolerance: int = Field(12, ge=0, le=255, description="How far a border's pixels may be from the corner's, a channel")
    shape: Literal["whole", "square"] = Field("whole", description="square: the middle of each image, as wide as high")
    rotations_degrees: list[Literal[0, 90, 180, 270]] = Field(
        [0, 90], min_length=1, description="Variants stored of each image, clockwise; 0 is the upright one"
    )
    max_hash_distance: int = Field(
        2, ge=0, le=8, description="Images may be copies if their 64-bit difference hashes differ in at most so many bits"
    )
    max_colour_difference: float = Field(
        12.0, ge=0, le=255, description="and are, if their 16 × 16 thumbnails differ by at most this on average, of 255"
    )
    max_caption_chars: int = Field(500, ge=1, description="Longer captions are cut at a word")
    min_kept_share: float = Field(
        0.3, ge=0, le=1, description="Gate: share of images that must be kept, of those that neither opted out nor are copies"
    )
    min_judged_images: int = Field(20, ge=1, description="Gate: of fewer images no share is asked")
    stall_seconds: float = execution(60.0, gt=0, description="A process that decodes and says nothing for so long is ended")
    workers: int = execution(0, ge=0, description="Images at a time; 0: the cores there are")

    @field_validator("formats", "rotations_degrees", "honour_optouts")
    @classmethod
    def _each_once(cls, values: list[str | int]) -> list[str | int]:
        if len(set(values)) < len(values):
            raise ValueError("a value stands twice")
        return values
