# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is private to the collection: it can change without notice.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  redis_url:
    description:
      - Where Redis is, as C(redis://HOST:PORT/DB), C(rediss://HOST:PORT/DB) for TLS, or C(unix:///PATH).
      - If not set, the variable C(multidevice_redis_url) of the host is used, then the environment variable
        E(MULTIDEVICE_REDIS_URL), then O(redis_config_file). So it is with each option here that says where Redis is and how
        to log in there.
      - If it is set nowhere, and O(redis_sentinels) neither, a task that runs on the controller uses the embedded Redis
        of this C(ansible-playbook) process.
    type: str
  redis_username:
    description:
      - The ACL user. If not set, E(MULTIDEVICE_REDIS_USERNAME) or O(redis_config_file) is used.
    type: str
  redis_password:
    description:
      - The password. If not set, E(MULTIDEVICE_REDIS_PASSWORD) or O(redis_config_file) is used.
    type: str
  redis_ca_cert:
    description:
      - The CA that signed the server's certificate, for C(rediss://). The system's CAs are trusted if it is not set.
      - If not set, E(MULTIDEVICE_REDIS_CA_CERT) or O(redis_config_file) is used.
    type: path
  redis_client_cert:
    description:
      - The client's certificate. If not set, E(MULTIDEVICE_REDIS_CLIENT_CERT) or O(redis_config_file) is used.
    type: path
  redis_client_key:
    description:
      - The key of O(redis_client_cert). If not set, E(MULTIDEVICE_REDIS_CLIENT_KEY) or O(redis_config_file) is used.
    type: path
  redis_sentinels:
    description:
      - Sentinels, each as C(HOST:PORT), that are asked for the server. User, password and database are then taken from
        the other options, TLS is used if O(redis_url) begins with C(rediss://) or a certificate is set.
      - If not set, E(MULTIDEVICE_REDIS_SENTINELS) (separated by commas) or O(redis_config_file) is used.
    type: list
    elements: str
  redis_sentinel_service:
    description:
      - The name that the sentinels know the server by. If not set, E(MULTIDEVICE_REDIS_SENTINEL_SERVICE) or
        O(redis_config_file) is used, then V(mymaster).
    type: str
  redis_timeout:
    description:
      - Seconds to go on trying while Redis does not answer, as during a restart. If not set,
        E(MULTIDEVICE_REDIS_TIMEOUT) or O(redis_config_file) is used, then V(30).
    type: float
  redis_config_file:
    description:
      - A YAML file with any of the options above, named without their C(redis_), and C(prefix).
      - If not set, E(MULTIDEVICE_REDIS_CONFIG_FILE) is used.
    type: path
  prefix:
    description:
      - What all keys in Redis begin with. If not set, E(MULTIDEVICE_REDIS_PREFIX) or O(redis_config_file) is used, then
        V(sched/).
    type: str
"""
