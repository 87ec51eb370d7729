"""How much of what others send is unpacked, parsed and kept: every size limit, with its reason.

A file or answer may state any size and expand a thousand times and more. Each limit is checked
before memory is taken for what it limits; what goes past it ends as a coded reason or a failed
request, and costs neither the process nor the other images. Each is well above what mammography
has, so that a limit means hostile or damaged, never merely large.

| what                          | largest in practice                       | limit            |
|-------------------------------|-------------------------------------------|------------------|
| pixels of a frame             | 38 M: film of 24 × 30 cm at 43 µm         | `FRAME_PIXELS`   |
| pixel data in memory          | 76 MB, that film                          | `PIXEL_BYTES`    |
| compressed frame / its pixels | 1.0: noise, lossless                      | 2, and 1 MiB     |
| fragments of pixel data       | some 64,000: tomosynthesis in 64 KiB      | `FRAGMENTS`      |
| one value of a header         | 1.6 MB: a bitmap overlay                  | `VALUE_BYTES`    |
| a header, larger values aside | some 8 MB: a segmentation of 5,000 frames | `HEADER_BYTES`   |
| its elements                  | some 50,000: a CAD SR                     | `ELEMENTS`       |
| sequences in sequences        | 15: a structured report                   | `DEPTH`          |
| file meta information         | some 200 bytes                            | `META_BYTES`     |
| instances of a study          | some 1,000                                | `INSTANCES`      |
| an instance that is fetched   | 4 GiB: what a pixel data element can hold | `INSTANCE_BYTES` |
| an answer in JSON             | some 2 MB: 1,000 instances listed         | `ANSWER_BYTES`   |
| objects of a commitment       | some 1,000: a study                       | `COMMITMENT_…`   |
| a file that a page brings     | some 5 GB: a CD, zipped                   | `UPLOAD_BYTES`   |
| a reading of a remote worker  | some 5 MB: four maps of each of 9 systems | `READING_BYTES`  |
| a request's header by HTTP    | some 8 KiB: a proxy's tokens              | `REQUEST_HEAD…`  |

The larger values of a header are passed over, as values that cannot be decoded are. Deflated data
sets (PS3.5 A.5) are inflated piece by piece and never held whole: the header within
`HEADER_BYTES` and what is passed over within `INFLATED_HEADER_BYTES`, the pixel data within what
Rows × Columns × frames × samples × bits make, and `SLACK_BYTES`.

What a codec may use while it decodes (address space, processor time, wall clock) follows from the
pixels of the frame: `cadnode.codecs.frame`.
"""

from typing import Final

MIB: Final = 1 << 20

FRAME_PIXELS: Final = 100_000_000
PIXEL_BYTES: Final = 256 * MIB
FRAGMENTS: Final = 1 << 18
VALUE_BYTES: Final = 8 * MIB
HEADER_BYTES: Final = 64 * MIB
INFLATED_HEADER_BYTES: Final = 512 * MIB
SLACK_BYTES: Final = MIB
ELEMENTS: Final = 250_000
DEPTH: Final = 32
META_BYTES: Final = MIB

SHAPE_POINTS: Final = 10_000  # of one shape that a person drew; a contour by hand has hundreds
SHAPES: Final = 1_000  # that one object holds; a reader draws a handful
REGIONS: Final = 50  # on one image, of one object; each is assessed by every system
MARKED_FRAMES: Final = 200  # of one segmentation; one a segment and image

INSTANCES: Final = 20_000
INSTANCE_BYTES: Final = (4 << 30) + HEADER_BYTES
ANSWER_BYTES: Final = 64 * MIB
OWN_OBJECT_BYTES: Final = 512 * MIB  # a copy of ours that is compared; the largest has some 30 MB
PARTS: Final = 1_000  # of a multipart answer
ANSWER_TIMES_TIMEOUT: Final = 20  # an answer in JSON takes no longer than so many time-outs
SECRET_FILE_BYTES: Final = MIB  # users or tokens; a line has some 150 bytes
PROVIDER_BYTES: Final = MIB  # an answer of an OpenID provider; its keys have some 10 KB
COMMITMENT_REFERENCES: Final = 10_000  # objects that one request for storage commitment names
COMMITMENT_BYTES: Final = 2 * MIB  # its data set: an object is some 170 bytes
COMMITMENTS: Final = 1_000  # requests of senders that wait for their report, a quarter an address's
COMMITMENTS_BYTES: Final = 64 * MIB  # of all of these on the disk, a quarter an address's
UPLOAD_BYTES: Final = 16 << 30  # an archive, and as much again as is unpacked of it
UPLOAD_SILENCE_S: Final = 30.0  # of a browser that sends a file
UPLOAD_BYTES_PER_S: Final = 10_000  # after that time, as of a peer of the listener
READING_BYTES: Final = 64 * MIB  # of all patients of a study, with their heat maps
READING_S: Final = 600.0  # until such a reading is here: by a line of 1 Mbit/s
REQUEST_S: Final = 30.0  # until the body of a request to the web server is here
REQUEST_HEADER_BYTES: Final = 64 << 10
