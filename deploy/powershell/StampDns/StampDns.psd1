@{
    RootModule           = 'StampDns.psm1'
    ModuleVersion        = '0.1.0'
    GUID                 = '5b0c2a0e-6d3f-4c57-9a55-3f1d8f0a7c21'
    Author               = 'The stampdns authors'
    CompanyName          = 'stampdns'
    Copyright            = '(c) The stampdns authors'
    Description          = 'The DNS cmdlets of an Azure Stack Hub privileged endpoint, against a stampdns server.'
    PowerShellVersion    = '5.1'
    CompatiblePSEditions = @('Desktop', 'Core')
    FunctionsToExport    = @(
        'Register-CustomDnsServer'
        'Get-AzSDnsForwarder'
        'Set-AzSDnsForwarder'
        'Get-AzSDnsServerSettings'
        'Set-AzSDnsServerSettings'
        'Get-AzureStackStampInformation'
        'Get-CustomDnsServer'
        'Unregister-CustomDnsServer'
    )
    CmdletsToExport      = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
    PrivateData          = @{
        PSData = @{
            Tags       = @('DNS', 'AzureStackHub', 'stampdns')
            ProjectUri = 'https://github.com/stampdns/stampdns'
        }
    }
}
