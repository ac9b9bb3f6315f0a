#!/bin/sh
# SPDX-License-Identifier: ISC
# The public DMARC cases through the driver of this build (see dmarc_suite.py).
exec /usr/bin/python3 "${POSTWARD_SRC:?}/tests/unit/dmarc_suite.py" "${POSTWARD_BUILD:?}/tests/unit/dmarc_driver"
