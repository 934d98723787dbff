/**
 * Lua, run whole by the server: each touches keys of one slot only. In every script KEYS[1] is the record, KEYS[2] the state
 * hash (v version, r revision, s state, i idle, x expiry, f fence of the refresh token, ix indexes, `t:<slot>` tokens).
 */

/** A record only beside a state that is there: a save that comes after the end revives nothing. ARGV: record, ms. */
export const SAVE_RECORD = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', redis.call('HGET', KEYS[2], 'x'))
return 1`

/** ARGV: expiry (Unix ms), then field and value in turn. */
export const OPEN = `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIREAT', KEYS[2], ARGV[1])
return 1`

/** ARGV: version read, state. 2 done, 1 changed, 0 gone. */
export const UPDATE = `
local v = redis.call('HGET', KEYS[2], 'v')
if not v then return 0 end
if v ~= ARGV[1] then return 1 end
redis.call('HSET', KEYS[2], 's', ARGV[2])
redis.call('HINCRBY', KEYS[2], 'v', 1)
redis.call('HINCRBY', KEYS[2], 'r', 1)
return 2`

/** ARGV: idle until. Never creates. */
export const TOUCH = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], 'i', ARGV[1])
return 2`

/** ARGV: field, then the value where there is one. */
export const PUT_SLOT = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
if ARGV[2] then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) else redis.call('HDEL', KEYS[2], ARGV[1]) end
redis.call('HINCRBY', KEYS[2], 'r', 1)
return 2`

/** KEYS[3] the fence counter. ARGV: fence, then field and value in turn. Only the newest lease's holder may write. */
export const ROTATE = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 1 end
redis.call('HSET', KEYS[2], 'f', ARGV[1])
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('HINCRBY', KEYS[2], 'r', 1)
return 2`

/** KEYS: record, state, fence counter, lease, tombstone. ARGV: reason, ms that the tombstone outlives the session. */
export const END = `
local x = redis.call('HGET', KEYS[2], 'x')
local ix = redis.call('HGET', KEYS[2], 'ix')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
if not x then return false end
redis.call('SET', KEYS[5], ARGV[1], 'PXAT', string.format('%.0f', tonumber(x) + tonumber(ARGV[2])))
return ix or ''`

/** KEYS: record, state, fence counter, lease. ARGV: owner, ms. -1 gone, 0 held by another, else the fence. */
export const LEASE = `
local x = redis.call('HGET', KEYS[2], 'x')
if not x then return -1 end
local owner = redis.call('GET', KEYS[4])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[2])
local fence = redis.call('INCR', KEYS[3])
redis.call('PEXPIREAT', KEYS[3], x)
return fence`

/** KEYS: lease, fence counter. ARGV: owner, ms. */
export const SHARED_LEASE = `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local fence = redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], 2592000000)
return fence`

/** KEYS: lease. ARGV: owner, ms. */
export const RENEW = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`

/** KEYS: lease. ARGV: owner. */
export const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** KEYS: counter. ARGV: window in ms. Count and what is left of the window. */
export const COUNT = `
local c = redis.call('INCR', KEYS[1])
if c == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return { c, redis.call('PTTL', KEYS[1]) }`

/** KEYS: set. ARGV: session id, expiry (Unix ms). The set lives as long as its longest member. */
export const INDEX = `
redis.call('SADD', KEYS[1], ARGV[1])
if redis.call('PEXPIRETIME', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
return 1`

/**
 * KEYS: epoch. ARGV: Unix ms. It only rises; answers what it is now. DEL first: a full server lets a script go on that has
 * freed something, or tried to, and an operator must be able to revoke just then.
 */
export const RAISE = `
local have = redis.call('GET', KEYS[1])
if have and tonumber(have) >= tonumber(ARGV[1]) then return have end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]`
