#!/bin/sh
# SPDX-License-Identifier: ISC
# The public ARC cases through the driver of this build (see arc_suite.py).
exec /usr/bin/python3 "${POSTWARD_SRC:?}/tests/unit/arc_suite.py" "${POSTWARD_BUILD:?}/tests/unit/arc_driver"
