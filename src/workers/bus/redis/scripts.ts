/**
 * What has to happen at once in Redis, as scripts. Any thread.
 *
 * Heartbeats are a sorted set by the time of expiry, and a hash with what they say. One key each that expires
 * would have to be found by a scan over all keys of the engine, and fields of a hash expire only from 7.4 on.
 */

/** KEYS log, head: the id of the newest entry, also when it was trimmed; `0-0` when there is no log. */
const LAST = `
local function last()
  if redis.call('EXISTS', KEYS[1]) == 0 then return '0-0' end
  local head = redis.call('GET', KEYS[2])
  if head then return head end
  -- The head was evicted. This is slow where entries are large: it brings the first and the last one.
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end`;

export const READ_LAST = `${LAST}
return last()`;

export const FENCED = 'FENCED';

/** KEYS log, head; ARGV id, bytes, most entries. The stream itself refuses ids not above its last. */
export const APPEND = `${LAST}
local previous = last()
local fields = { 'after', previous, 'bytes', ARGV[2] }
local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[1], unpack(fields))
if type(added) == 'table' and added.err then
  if string.find(added.err, 'equal or smaller', 1, true) then return '${FENCED}' end
  return added
end
redis.call('SET', KEYS[2], ARGV[1])
return 'OK'`;

/** KEYS log, head; ARGV epoch, seq. The last entry stays. */
export const TRIM = `${LAST}
local epoch, seq = string.match(last(), '^(%d+)-(%d+)$')
local last_epoch, last_seq = tonumber(epoch), tonumber(seq)
local before_epoch, before_seq = tonumber(ARGV[1]), tonumber(ARGV[2])
local id = ARGV[1] .. '-' .. ARGV[2]
if before_epoch > last_epoch or (before_epoch == last_epoch and before_seq > last_seq) then
  id = epoch .. '-' .. seq
end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', id)`;

/** KEYS pointer; ARGV epoch, seq, bytes. */
export const POINT = `
local old = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if old[1] then
  local epoch, seq = tonumber(old[1]), tonumber(old[2])
  local new_epoch, new_seq = tonumber(ARGV[1]), tonumber(ARGV[2])
  if epoch > new_epoch or (epoch == new_epoch and seq > new_seq) then return '${FENCED}' end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', ARGV[2], 'bytes', ARGV[3])
return 'OK'`;

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** KEYS beats, bytes; ARGV replica, bytes, expiry in ms, most expired ones to forget. */
export const BEAT = `${NOW}
local expires = tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], string.format('%.0f', now + expires), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[4])
for _, replica in ipairs(gone) do
  redis.call('ZREM', KEYS[1], replica)
  redis.call('HDEL', KEYS[2], replica)
end
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < expires then redis.call('PEXPIRE', key, ARGV[3]) end
end
return 'OK'`;

/** KEYS beats, bytes; ARGV most replicas. Replica and bytes in turn. */
export const READ_BEATS = `${NOW}
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf', 'LIMIT', 0, ARGV[1])
local beats = {}
for _, replica in ipairs(alive) do
  local bytes = redis.call('HGET', KEYS[2], replica)
  if bytes then
    beats[#beats + 1] = replica
    beats[#beats + 1] = bytes
  end
end
return beats`;
