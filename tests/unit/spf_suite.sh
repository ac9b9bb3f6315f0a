#!/bin/sh
# SPDX-License-Identifier: ISC
# The public SPF suites through the driver of this build (see spf_suite.py).
exec /usr/bin/python3 "${POSTWARD_SRC:?}/tests/unit/spf_suite.py" "${POSTWARD_BUILD:?}/tests/unit/spf_driver"
