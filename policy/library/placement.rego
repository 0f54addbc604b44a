# The policy that applies when the policy directory holds none.
package spillway.placement

import data.spillway.lib

permit := lib.pool_names

deny contains entry if some entry in lib.default_deny
