-- Orthanc sends mammograms to cadnode by C-STORE, without the plugin.
--
-- orthanc.json:   "LuaScripts" : [ "/etc/orthanc/orthanc_mammograms.lua" ],
--                 "DicomModalities" : { "cadnode" : [ "CADNODE", "127.0.0.1", 11112 ] }
-- cadnode.toml:   [[destinations]] name = "archive", port = 4242, ae_title = "ORTHANC"
--
-- When a study has become stable, its images of modality MG are sent, all of them, if any of them
-- is new. The node's results (SR, OT) make the study stable once more: nothing is new then. What
-- was sent is kept as metadata of the study. There are no retries: when the job fails, Orthanc's
-- page of jobs has a button to submit it again; the plugin (orthanc/) does that by itself.

local NODE = 'cadnode'      -- its name in "DicomModalities"
local SENT = '5115'         -- user metadata: what was sent

local function mammograms(study)
  local found = {}
  for _, series in ipairs(ParseJson(RestApiGet('/studies/' .. study .. '/series'))) do
    if series['MainDicomTags']['Modality'] == 'MG'
       and series['MainDicomTags']['Manufacturer'] ~= 'cadnode' then
      for _, instance in ipairs(series['Instances']) do
        table.insert(found, instance)
      end
    end
  end
  table.sort(found)
  return found
end

local function sentBefore(study)
  local metadata = ParseJson(RestApiGet('/studies/' .. study .. '/metadata?expand'))
  return metadata[SENT] or metadata['cadnode-sent'] or ''
end

function OnStableStudy(study, tags, metadata)
  local instances = mammograms(study)
  local before = sentBefore(study)
  local isNew = false
  for _, instance in ipairs(instances) do
    if not string.find(before, instance, 1, true) then isNew = true end
  end
  if not isNew then return end
  RestApiPut('/studies/' .. study .. '/metadata/' .. SENT, table.concat(instances, ' '))
  RestApiPost('/modalities/' .. NODE .. '/store',
              DumpJson({ Resources = instances, Synchronous = false }, true))
  PrintRecursive('cadnode: ' .. #instances .. ' mammograms are being sent')
end
