# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wrong configurations of all reverse proxies, each with one mistake."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.tests.contract.wrong_apache import APACHE
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_caddy import CADDY
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_haproxy import HAPROXY
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_nginx import NGINX

WRONG = (*NGINX, *APACHE, *CADDY, *HAPROXY)
