/**
 * What the peers in Redis run on the server, in Lua. Each gives one value: nodes as `packedNode` writes them,
 * the new ones first, with a line break in between.
 */

/**
 * Sets: `networks:<pool>`, and `members:<pool>:<network>`. Two networks of one pool are distinct by
 * themselves. ARGV: new ones, vetted ones.
 */
export const FROM_SETS = `
  local nodes, taken = {}, {}
  local fresh = redis.call('SRANDMEMBER', 'networks:new', ARGV[1])
  for i = 1, #fresh do
    taken[fresh[i]] = true
    nodes[i] = redis.call('SRANDMEMBER', 'members:new:' .. fresh[i])
  end
  local wanted = #nodes + tonumber(ARGV[2])
  local vetted = redis.call('SRANDMEMBER', 'networks:vetted', wanted)
  for i = 1, #vetted do
    if #nodes == wanted then break end
    if not taken[vetted[i]] then
      nodes[#nodes + 1] = redis.call('SRANDMEMBER', 'members:vetted:' .. vetted[i])
    end
  end
  return table.concat(nodes, '\\n')`;

/** Bytes of a node in `records:<pool>`, padded with spaces, and of an entry of `index:<pool>`. */
export const RECORD_BYTES = 104;
export const INDEX_BYTES = 8;
/** Where the network of a record begins: it comes after the node. */
export const NETWORK_AT = 88;

/**
 * Two flat strings a pool: records grouped by network, and where each network's begin and how many they are.
 * ARGV: new ones, vetted ones, a seed (the server starts every script with the same one).
 */
export const FROM_STRINGS = `
  math.randomseed(tonumber(ARGV[3]))
  local nodes, taken = {}, {}
  local function draw(pool, wanted)
    local index, records = 'index:' .. pool, 'records:' .. pool
    local networks = redis.call('STRLEN', index) / ${INDEX_BYTES}
    while #nodes < wanted do
      local at = math.random(0, networks - 1) * ${INDEX_BYTES}
      local entry = redis.call('GETRANGE', index, at, at + ${INDEX_BYTES - 1})
      local first, members = struct.unpack('<I4I4', entry)
      at = (first + math.random(0, members - 1)) * ${RECORD_BYTES}
      local record = redis.call('GETRANGE', records, at, at + ${RECORD_BYTES - 1})
      local network = string.sub(record, ${NETWORK_AT + 1})
      if not taken[network] then
        taken[network] = true
        nodes[#nodes + 1] = string.sub(record, 1, ${NETWORK_AT})
      end
    end
  end
  draw('new', tonumber(ARGV[1]))
  draw('vetted', tonumber(ARGV[1]) + tonumber(ARGV[2]))
  return table.concat(nodes, '\\n')`;

/**
 * A library that keeps the pools as Lua arrays in the server, where a draw is a look into an array, and reads
 * them anew from the hashes `arrays:<pool>` (network → members) when `version` is another one. A network is a
 * number, over both pools, and marked with the number of the call that took it: a call makes no table. FCALL
 * pick 1 version, then: new ones, vetted ones, a seed.
 */
export const LIBRARY = `#!lua name=peers
  local version, pools, takenBy, call, picked = nil, nil, nil, 0, {}
  local function read(now)
    local numbers = {}
    pools, takenBy = {}, {}
    for _, pool in ipairs({'new', 'vetted'}) do
      local fields = redis.call('HGETALL', 'arrays:' .. pool)
      local networks, members = {}, {}
      for i = 1, #fields, 2 do
        local nodes = {}
        for node in string.gmatch(fields[i + 1], '[^\\n]+') do nodes[#nodes + 1] = node end
        local number = numbers[fields[i]]
        if not number then
          number = #takenBy + 1
          numbers[fields[i]] = number
          takenBy[number] = 0
        end
        networks[#networks + 1] = number
        members[#members + 1] = #nodes == 1 and nodes[1] or nodes
      end
      pools[pool] = {networks, members}
    end
    version = now
  end
  local function draw(pool, count, wanted)
    local networks, members = pool[1], pool[2]
    local takenBy, call, picked, random, type = takenBy, call, picked, math.random, type
    local size = #networks
    while count < wanted do
      local at = random(size)
      local network = networks[at]
      if takenBy[network] ~= call then
        takenBy[network] = call
        local nodes = members[at]
        count = count + 1
        picked[count] = type(nodes) == 'string' and nodes or nodes[random(#nodes)]
      end
    end
    return count
  end
  local function pick(keys, args)
    local now = redis.call('GET', keys[1])
    if now ~= version then read(now) end
    call = call + 1
    math.randomseed(tonumber(args[3]))
    local fresh = draw(pools.new, 0, tonumber(args[1]))
    return table.concat(picked, '\\n', 1, draw(pools.vetted, fresh, fresh + tonumber(args[2])))
  end
  redis.register_function{function_name = 'pick', callback = pick, flags = {'no-writes'}}`;
